#!/usr/bin/env node
// A browser with a user for tests: opens the page of a login, fills in its forms, and follows its redirects.
const cookies = new Map();

async function open(url, body) {
  const headers = { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
  const response = await fetch(url, { method: body ? 'POST' : 'GET', body, headers, redirect: 'manual' });
  for (const line of response.headers.getSetCookie()) {
    const [name, value] = line.split(';', 1)[0].split('=');
    cookies.set(name, value);
  }
  const location = response.headers.get('location');
  if (location) return open(new URL(location, url));
  const page = await response.text();
  const action = /<form[^>]* action="([^"]+)"/.exec(page)?.[1];
  if (!action) return page;
  const fields = [...page.matchAll(/<input[^>]* name="(\w+)"(?:[^>]* value="([^"]*)")?/g)].map(
    ([, name, value]) => [name, value ?? 'alice'],
  );
  return open(new URL(action, url), new URLSearchParams(fields));
}

open(new URL(process.argv[2]));
