#!/usr/bin/env node
// A browser for tests: opens the page of a login, and follows its redirects.
fetch(process.argv[2]).then((response) => response.text());
