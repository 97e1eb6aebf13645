/**
 * The observers behind one dynamic import. Each import of its own would split the chunks that
 * serving loads, and each file that is opened delays its start.
 */
export { writeAccessLog } from '../observe/access-log.ts';
export { startTelemetry } from '../observe/tracing/telemetry.ts';
export { measure, publish } from './measure.ts';
export { serveStatus } from './status-server.ts';
