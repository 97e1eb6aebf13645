import type { ListenerSettings } from '../client/http/options.ts';

/** The index of one worker among all workers, and what depends on it. */
export interface WorkerPlace {
  /** From 0; a worker that replaces another takes over its index. */
  readonly index: number;
  readonly count: number;
  /** The port that replaces port 0 of --listen; 0 if the operating system chooses it. */
  readonly port: number;
}

/** The settings that differ between one process and several. */
interface DividedSettings {
  readonly maxConnections: number;
  readonly keepConnections: number;
  readonly queueSize: number;
  readonly limitReplicas: number;
  readonly listener: ListenerSettings | undefined;
}

/** The part of one worker; the parts of all workers add up to the whole. Pure. */
export const partOf = (whole: number, { index, count }: WorkerPlace): number =>
  Math.floor(whole / count) + (index < whole % count ? 1 : 0);

/** The settings of one worker: its part of each limit that is not shared. Pure. */
export function settingsOfWorker<T extends DividedSettings>(settings: T, place: WorkerPlace): T {
  const { listener, keepConnections } = settings;
  const maxConnections = partOf(settings.maxConnections, place);
  // With 0 idle connections, each call of a worker would open a connection.
  const keep = keepConnections === 0 ? 0 : Math.max(1, partOf(keepConnections, place));
  return {
    ...settings,
    maxConnections,
    keepConnections: Math.min(keep, maxConnections),
    queueSize: partOf(settings.queueSize, place),
    limitReplicas: settings.limitReplicas * place.count,
    listener: listener && listenerOfWorker(listener, place),
  };
}

function listenerOfWorker(listener: ListenerSettings, place: WorkerPlace): ListenerSettings {
  const { address, maxClients, maxClientsPerAddress, maxStreams } = listener;
  const isAnyPort = 'port' in address && address.port === 0;
  return {
    ...listener,
    address: isAnyPort ? { ...address, port: place.port } : address,
    maxClients: partOf(maxClients, place),
    maxClientsPerAddress: maxClientsPerAddress && partOf(maxClientsPerAddress, place),
    maxStreams: partOf(maxStreams, place),
  };
}

/** Passes its place to a worker. It is internal, and is removed when it has been read. */
export const PLACE_VARIABLE = 'MCP_SIGV4_PROXY_WORKER';

/** The place as text for the environment. Pure. */
export const placeText = ({ index, count, port }: WorkerPlace): string => `${index}/${count}/${port}`;

/** Reads what `placeText` wrote. Pure. */
export function readPlace(text: string): WorkerPlace {
  const [index = 0, count = 1, port = 0] = text.split('/').map(Number);
  return { index, count, port };
}

const INSTANCE = /(^|,)\s*(service\.instance\.id=[^,]*)/;

/**
 * The value of OTEL_RESOURCE_ATTRIBUTES for one worker: workers that send metrics with the
 * same identity would overwrite each other's values. Pure.
 */
export function resourceOfWorker(given: string, { index }: WorkerPlace, host: string): string {
  if (INSTANCE.test(given)) return given.replace(INSTANCE, `$1$2-${index}`);
  return `${given === '' ? '' : `${given},`}service.instance.id=${encodeURIComponent(host)}-${index}`;
}
