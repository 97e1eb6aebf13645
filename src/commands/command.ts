import type { Arguments } from '../config/argv.ts';
import type { Settings } from '../settings.ts';
import type { Output } from './output.ts';

/** The arguments of every command. */
export interface CommandContext {
  readonly args: Arguments;
  readonly settings: Settings;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly stdin: NodeJS.ReadableStream;
  /** Aborts on Ctrl-C, on another signal, and when stdout breaks. */
  readonly signal: AbortSignal;
}

/** Prints an error with the name of the program, as logs of several programs need it. */
export const printError = (stderr: Output, message: string): void =>
  stderr.write(`mcp-sigv4-proxy: ${message}\n`);

/** The interface of a command's module. */
export interface CommandModule {
  /** Checks the command's own arguments. @returns one text per problem. */
  problems?(args: Arguments): readonly string[];
  /** @returns the exit code. */
  run(context: CommandContext): Promise<number>;
}
