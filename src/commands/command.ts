import type { Arguments } from '../config/argv.ts';
import type { Settings } from '../settings.ts';
import type { Output } from './output.ts';

/** What the process hands to a command. */
export interface CommandContext {
  readonly args: Arguments;
  readonly settings: Settings;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly stdin: NodeJS.ReadableStream;
  /** Aborts when the person, or the system, wants the command to end. */
  readonly signal: AbortSignal;
}

/** As for settings that are unusable: what was asked for cannot be done as it was asked. */
export const EXIT_USAGE = 2;

/** Says what went wrong, under the name that a log of many programs needs. */
export const complain = (stderr: Output, message: string): void =>
  stderr.write(`mcp-sigv4-proxy: ${message}\n`);

/** One command: a module of its own, loaded when it is run. */
export interface CommandModule {
  /** What is wrong with the command's own words, or with what its options mean together. */
  problems?(args: Arguments): readonly string[];
  /** @returns the exit code. */
  run(context: CommandContext): Promise<number>;
}
