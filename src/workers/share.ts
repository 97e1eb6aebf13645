import type { ListenerSettings } from '../client/http/options.ts';

/** The place of one worker among all workers. */
export interface WorkerPlace {
  /** From 0; a worker that replaces another takes over its index. */
  readonly index: number;
  readonly count: number;
  /** The port in place of port 0; 0 where the system chooses it. */
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
  // Without an idle connection each call of a worker would open one.
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

/** The variable that gives a worker its place. It is no setting, and is removed when it is read. */
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
 * The value of OTEL_RESOURCE_ATTRIBUTES for one worker: two that send metrics under one identity
 * would overwrite each other's. Pure.
 */
export function resourceOfWorker(given: string, { index }: WorkerPlace, host: string): string {
  if (INSTANCE.test(given)) return given.replace(INSTANCE, `$1$2-${index}`);
  return `${given === '' ? '' : `${given},`}service.instance.id=${encodeURIComponent(host)}-${index}`;
}
