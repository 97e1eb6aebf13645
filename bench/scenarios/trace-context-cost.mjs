// The least that a trace context costs a call: a constant one, in a header and in `_meta`, against none. Nothing is generated,
// decided or recorded for it.
import { costRatio } from '../cost-ratio.mjs';

export const rounds = { full: 1, quick: 1 };
export const kinds = ['proxy'];
export const onlyOurs = true;
const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00';

export async function run({ open, size }) {
  const args = ['--header', `traceparent: ${TRACEPARENT}`, '--metadata', `traceparent=${TRACEPARENT}`];
  return { cpu: await costRatio({ args }, open, size) };
}
