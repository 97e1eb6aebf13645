/**
 * The commands that a person runs, behind one dynamic import: each import of its own would cut what
 * serving loads into more chunks, and every file that is opened at the start costs serving its
 * share of a millisecond.
 */
import type { CommandName } from '../command-table.ts';
import * as call from './call.ts';
import type { CommandModule } from './command.ts';
import * as config from './config/config.ts';
import * as doctor from './doctor/doctor.ts';
import * as tools from './tools.ts';

export const COMMAND_MODULES: Readonly<Record<Exclude<CommandName, 'demo'>, CommandModule>> = {
  doctor,
  tools,
  call,
  config,
};
