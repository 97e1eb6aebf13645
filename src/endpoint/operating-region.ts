import {
  type FileStamps,
  readProfileFacts,
  sameStamps,
  sharedPaths,
  stampFiles,
} from '../auth/credentials/files.ts';
import { scopeOfHost } from './endpoint.ts';

export interface OperatingRegionOptions {
  readonly endpoint: URL;
  readonly env: NodeJS.ProcessEnv;
  /**
   * Of several profiles each has its own region first: a variable that stands for the whole process
   * can speak of none of them.
   */
  readonly several: boolean;
}

type Region = string | undefined;

interface KnownRegion {
  prints: FileStamps;
  /** A promise only while the files are read: calls that need not wait are cheaper. */
  region: Region | Promise<Region>;
}

/**
 * The region that a profile's calls are about, in the AWS CLI's order, then the endpoint's own;
 * undefined where none is known.
 */
export class OperatingRegions {
  readonly #options: OperatingRegionOptions;
  readonly #known = new Map<string, KnownRegion>();
  /** Read once: to ask the environment takes as long as to look at a file. */
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
    // Looked at for each call, as the credentials' files are: who moves a profile to another
    // account moves its region with it, and a call that is signed for the one must not be about the
    // other.
    const known = this.#known.get(profile);
    const prints = stampFiles(this.#paths, known?.prints);
    if (known && sameStamps(known.prints, prints)) {
      known.prints = prints;
      return known.region;
    }
    const reading = this.#read(profile);
    const read: KnownRegion = { prints, region: reading };
    this.#known.set(profile, read);
    reading.then(
      (region) => {
        read.region = region;
      },
      () => undefined,
    );
    return reading;
  }

  async #read(profile: string): Promise<Region> {
    const { env, endpoint, several } = this.#options;
    const { region } = await readProfileFacts(profile || undefined, env);
    return (several && region) || this.#ofProcess || region || scopeOfHost(endpoint.hostname).region;
  }
}
