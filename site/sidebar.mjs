// The order of the pages. A page that is not in this list fails the build.

/** @param clients - the guides for clients, each with its title and file. */
export const sidebar = (clients) => [
  group('Start', [
    ['Introduction', 'introduction'],
    ['Commands', 'commands'],
    ['Executable without Node', 'executable'],
    ['Troubleshooting', 'troubleshooting'],
  ]),
  group('Clients', [['All clients', 'clients/index'], ...clients]),
  group('Endpoints', [
    ['AWS MCP Server', 'aws-mcp-server'],
    ['AgentCore Runtime', 'agentcore#runtime'],
    ['AgentCore Gateway', 'agentcore#gateway'],
    ['Lambda function URL', 'endpoints#lambda-function-url'],
    ['API Gateway', 'endpoints#api-gateway'],
    ['VPC Lattice', 'endpoints#vpc-lattice'],
    ['Your own host', 'endpoints#your-own-host'],
    ['Servers of HTTP+SSE', 'endpoints#servers-of-httpsse-2024-11-05'],
  ]),
  group('Accounts and network', [
    ['Accounts and SSO', 'accounts'],
    ['OAuth and bearer tokens', 'authentication'],
    ['Corporate networks', 'corporate-network'],
  ]),
  group('Calls', [
    ['Choosing tools', 'tools'],
    ['Limits and quotas', 'limits'],
    ['How messages are relayed', 'messages'],
    ['Client and server revisions', 'eras'],
  ]),
  group('Many clients', [
    ['HTTP listener', 'listener'],
    ['Deployment', 'deploy'],
    ['Scale', 'scale'],
    ['Observability', 'observability'],
    ['Memory', 'memory'],
  ]),
  group('Reference', [
    ['Options', 'options'],
    ['Errors', 'errors'],
    ['Library', 'library'],
    ['API', 'reference/modules'],
    ['Benchmarks', 'bench'],
    ['Conformance', 'conformance'],
  ]),
  group('Migrate', [
    ['From mcp-proxy-for-aws', 'migrating#from-mcp-proxy-for-aws'],
    ['From mcp-remote', 'migrating#from-mcp-remote'],
    ['From mcp-pool', 'migrating#from-mcp-pool'],
    ['Issues of other proxies', 'peer-issues'],
    ['Features of other projects', 'seeds'],
  ]),
  group('Project', [
    ['Security', 'security'],
    ['Changelog', 'changelog'],
    ['Contributing', 'contributing'],
    ['Design', 'design'],
    ['Architecture', 'architecture'],
    ['Glossary', 'glossary'],
    ['Walks through the code', 'walks'],
    ['Releasing', 'releasing'],
  ]),
];

const group = (text, entries) => ({
  text,
  items: entries.map(([title, page]) => ({ text: title, link: `/${page.replace(/index$/, '')}` })),
});

/** The pages that the list lacks. The guides for clients are listed by their own table. */
export function unlisted(pages) {
  const listed = new Set(
    sidebar([]).flatMap(({ items }) =>
      items.map(({ link }) => link.slice(1).replace(/#.*/, '').replace(/\/$/, '/index')),
    ),
  );
  return pages.filter((page) => !page.startsWith('clients/') && !listed.has(page.replace(/\.md$/, '')));
}
