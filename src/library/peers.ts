/** A package that a part of the library needs and that the program installs. */
export type PeerName = '@langchain/core' | '@modelcontextprotocol/client' | '@modelcontextprotocol/sdk';

/** The major version of each peer that this library was tested with; package.json repeats them. */
export const PEER_MAJORS: Readonly<Record<PeerName, number>> = {
  '@langchain/core': 1,
  '@modelcontextprotocol/client': 2,
  '@modelcontextprotocol/sdk': 1,
};

/** A package that the program has to install is missing, or has another major version. */
export class PeerError extends Error {
  override readonly name = 'PeerError';
  /** The name of the package. */
  readonly peer: PeerName;
  /** The version that is installed; undefined where none is. */
  readonly found: string | undefined;

  /** @param what - the function that needs the package. */
  constructor(what: string, peer: PeerName, found: string | undefined) {
    const major = PEER_MAJORS[peer];
    const state = found === undefined ? 'it is not installed' : `version ${found} is installed`;
    super(`${what} needs ${peer} ${major}: ${state}. Run npm install ${peer}@${major}`);
    this.peer = peer;
    this.found = found;
  }
}

/** Why a peer cannot be used; undefined if it can. Pure. */
export function peerProblem(what: string, peer: PeerName, found: string | undefined): PeerError | undefined {
  const major = Number.parseInt(found ?? '', 10);
  return major === PEER_MAJORS[peer] ? undefined : new PeerError(what, peer, found);
}

/**
 * Loads a module of a package that the program installs.
 * @param path - the path of the module in the package, such as `/tools`.
 * @throws PeerError
 */
export async function loadPeer<T>(what: string, peer: PeerName, path = ''): Promise<T> {
  const { importModule, installedVersion } = await import('./import-peer.ts');
  const problem = peerProblem(what, peer, installedVersion(peer));
  if (problem) throw problem;
  return (await importModule(`${peer}${path}`)) as T;
}
