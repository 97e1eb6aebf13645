/** The status page. Its script fills in the values; a table is there before the first arrives. */
export const PAGE_HTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>mcp-sigv4-proxy status</title>
<link rel="stylesheet" href="/status.css">
<script src="/status.js" defer></script>
</head>
<body>
<a class="skip" href="#main">Skip to the values</a>
<header>
<h1>mcp-sigv4-proxy</h1>
<p id="live" role="status">Connecting…</p>
<dl class="facts" id="facts"></dl>
</header>
<main id="main" tabindex="-1">
<noscript><p>This page needs JavaScript. The same values are at <a href="/status.json">/status.json</a> and <a href="/metrics">/metrics</a>.</p></noscript>
<section aria-labelledby="h-profiles"><h2 id="h-profiles">Profiles</h2><div id="profiles" class="cards"></div></section>
<section aria-labelledby="h-users" id="users-part" hidden><h2 id="h-users">Users of the identity map</h2>
<div class="scroll" role="region" aria-label="Table of users" tabindex="0"><table id="users">
<thead><tr><th scope="col">User</th><th scope="col">Rule</th><th scope="col">Account and role</th><th scope="col" class="n">Requests</th><th scope="col" class="n">Connections</th><th scope="col">Breaker</th></tr></thead><tbody></tbody></table></div>
<p id="users-note"></p></section>
<section aria-labelledby="h-charts"><h2 id="h-charts">Last 15 minutes</h2>
<div class="charts">
<figure><figcaption id="c-rate">Calls per second</figcaption><div id="rate"></div></figure>
<figure><figcaption id="c-latency">Duration of calls</figcaption><div id="latency"></div></figure>
</div></section>
<section aria-labelledby="h-tools"><h2 id="h-tools">Tools</h2>
<div class="scroll" role="region" aria-label="Table of tools" tabindex="0"><table id="tools">
<thead><tr>
<th scope="col" data-key="tool"><button type="button">Tool</button></th>
<th scope="col" data-key="calls" class="n"><button type="button">Calls</button></th>
<th scope="col" data-key="p50" class="n"><button type="button">p50</button></th>
<th scope="col" data-key="p95" class="n" aria-sort="descending"><button type="button">p95</button></th>
<th scope="col" data-key="errors" class="n"><button type="button">Errors</button></th>
</tr></thead><tbody></tbody></table></div>
<p id="tools-note"></p><p class="legend">Durations run from the first request to the server to its answer. They include retries and the waits for a connection, not the queue of --max-concurrent; server time without waits is in the profile.</p></section>
<section aria-labelledby="h-waits"><h2 id="h-waits">Why calls wait</h2>
<div class="scroll" role="region" aria-label="Table of waits" tabindex="0"><table id="waits">
<thead><tr><th scope="col">Profile</th><th scope="col">Waited for, and what helps</th><th scope="col" class="n">Calls</th><th scope="col" class="n">p95</th><th scope="col" class="n">Total</th></tr></thead><tbody></tbody></table></div></section>
<section aria-labelledby="h-errors"><h2 id="h-errors">Recent errors</h2><ol id="errors" class="errors"></ol></section>
<section aria-labelledby="h-clients"><h2 id="h-clients">Clients and process</h2><dl class="facts" id="clients"></dl></section>
</main>
<footer><p><a href="/status.json">status.json</a> · <a href="/metrics">metrics</a></p></footer>
</body>
</html>
`;
