// The cost of tracing for a call, with every call recorded, one in a hundred, and none, against a proxy that does not trace.
// Two processes take turns, and several such pairs are compared, as in layers-cost.

import { once } from 'node:events';
import http from 'node:http';
import { costRatio } from '../cost-ratio.mjs';

export const rounds = { full: 1, quick: 1 };
export const kinds = ['proxy'];
export const onlyOurs = true;
export async function run({ open, size }) {
  const collector = http.createServer((request, response) => {
    request.resume();
    request.on('end', () => response.end());
  });
  collector.listen(0, '127.0.0.1');
  await once(collector, 'listening');
  const collected = {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.address().port}`,
    OTEL_METRICS_EXPORTER: 'none',
  };
  try {
    const all = await costRatio({ env: collected }, open, size);
    const sampledBy = (ratio) => ({
      env: { ...collected, OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: ratio },
    });
    return {
      all,
      hundredth: await costRatio(sampledBy('0.01'), open, size),
      none: await costRatio(sampledBy('0'), open, size),
    };
  } finally {
    collector.closeAllConnections();
    collector.close();
  }
}
