/** The name and unit of a metric of OpenTelemetry. */
export interface OtelName {
  readonly name: string;
  readonly unit: string;
}

/** Metrics that the semantic conventions name. */
const CONVENTIONAL: Readonly<Record<string, OtelName>> = {
  mcp_client_operation_duration_seconds: { name: 'mcp.client.operation.duration', unit: 's' },
  mcp_server_operation_duration_seconds: { name: 'mcp.server.operation.duration', unit: 's' },
  mcp_client_session_duration_seconds: { name: 'mcp.client.session.duration', unit: 's' },
  mcp_server_session_duration_seconds: { name: 'mcp.server.session.duration', unit: 's' },
  process_cpu_seconds_total: { name: 'process.cpu.time', unit: 's' },
  process_resident_memory_bytes: { name: 'process.memory.usage', unit: 'By' },
};

const ATTRIBUTES: Readonly<Record<string, string>> = {
  mcp_method_name: 'mcp.method.name',
  gen_ai_tool_name: 'gen_ai.tool.name',
  error_type: 'error.type',
  network_transport: 'network.transport',
};

/** Prometheus names end in their unit; OpenTelemetry states the unit separately. */
const UNITS: readonly (readonly [suffix: string, unit: string])[] = [
  ['_seconds', 's'],
  ['_bytes', 'By'],
];

/** The name that OpenTelemetry gives to a metric of Prometheus. Pure. */
export function otelNameOf(prometheusName: string): OtelName {
  const known = CONVENTIONAL[prometheusName];
  if (known) return known;
  const base = prometheusName.replace(/_total$/, '').replace(/^mcp_sigv4_proxy_/, 'mcp_sigv4_proxy.');
  for (const [suffix, unit] of UNITS) {
    if (base.endsWith(suffix)) return { name: base.slice(0, -suffix.length), unit };
  }
  return { name: base, unit: '1' };
}

/** The attributes of a series; empty labels are left out. Pure. */
export const otelAttributesOf = (
  labels: readonly string[],
  values: readonly string[],
): Record<string, string> =>
  Object.fromEntries(
    labels.flatMap((label, at) => {
      const value = values[at];
      return value ? [[ATTRIBUTES[label] ?? label, value] as const] : [];
    }),
  );
