import { type FileStamps, stampFiles, unchanged } from '../auth/credentials/file-stamps.ts';
import { readProfileFacts, sharedPaths } from '../auth/credentials/shared-files.ts';
import type { Clock } from '../core/time/clock.ts';
import { scopeOfHost } from './endpoint.ts';

/** How late an edit may count that changes the region, but no credentials. */
const MAX_LATE_MS = 1_000;

export interface OperatingRegionOptions {
  readonly endpoint: URL;
  readonly env: NodeJS.ProcessEnv;
  /**
   * True with several profiles: the region of each one then precedes the variables of the process.
   */
  readonly several: boolean;
  /** True for a profile whose credentials may come from the AWS files. */
  readonly keysInFiles: (profile: string) => boolean;
  readonly clock: Clock;
}

type Region = string | undefined;

interface KnownRegion {
  readonly stamps: FileStamps;
  readonly keysInFiles: boolean;
  /** Monotonic. */
  checkedAt: number;
  /** A promise only while the files are read: calls that need not wait are cheaper. */
  region: Region | Promise<Region>;
}

/**
 * The region that a profile's calls work in: in the AWS CLI's order, then the endpoint's region;
 * undefined if none is known.
 */
export class OperatingRegions {
  readonly #options: OperatingRegionOptions;
  readonly #known = new Map<string, KnownRegion>();
  /** Read once: reading a variable takes as long as checking a file. */
  readonly #ofProcess: string | undefined;
  readonly #paths: readonly string[];

  constructor(options: OperatingRegionOptions) {
    this.#options = options;
    const { env } = options;
    this.#ofProcess = env.AWS_REGION || env.AWS_DEFAULT_REGION || undefined;
    const { config, credentials } = sharedPaths(env);
    this.#paths = [config, credentials];
  }

  of(profile: string): Region | Promise<Region> {
    if (this.#ofProcess && !this.#options.several) return this.#ofProcess;
    const known = this.#known.get(profile);
    if (known && this.#isCurrent(known)) return known.region;
    const { clock, keysInFiles } = this.#options;
    const stamps = stampFiles(this.#paths);
    const reading = this.#read(profile);
    const read: KnownRegion = {
      stamps,
      keysInFiles: keysInFiles(profile),
      checkedAt: clock.monotonic(),
      region: reading,
    };
    this.#known.set(profile, read);
    reading.then(
      (region) => {
        read.region = region;
      },
      () => undefined,
    );
    return reading;
  }

  /**
   * Checked for each call together with credentials of the files: an edit that moves a profile to
   * another account also moves its region, and a call must not mix the two.
   */
  #isCurrent(known: KnownRegion): boolean {
    if (known.keysInFiles) return unchanged(known.stamps);
    const now = this.#options.clock.monotonic();
    if (now - known.checkedAt < MAX_LATE_MS) return true;
    known.checkedAt = now;
    return unchanged(known.stamps);
  }

  async #read(profile: string): Promise<Region> {
    const { env, endpoint, several } = this.#options;
    const { region } = await readProfileFacts(profile || undefined, env);
    return (several && region) || this.#ofProcess || region || scopeOfHost(endpoint.hostname).region;
  }
}
