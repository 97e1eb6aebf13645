/**
 * The commands behind one dynamic import. One import per command would split the chunks that
 * serving loads, and each file that is opened delays its start.
 */
import type { CommandName } from '../command-table.ts';
import * as call from './call.ts';
import type { CommandModule } from './command.ts';
import * as completion from './completion/completion.ts';
import * as config from './config/config.ts';
import * as doctor from './doctor/doctor.ts';
import * as init from './init.ts';
import * as login from './login/login.ts';
import * as logout from './login/logout.ts';
import * as ping from './ping.ts';
import * as prompt from './prompt.ts';
import * as prompts from './prompts.ts';
import * as read from './read.ts';
import * as resources from './resources.ts';
import * as status from './status.ts';
import * as tools from './tools.ts';

export const COMMAND_MODULES: Readonly<Record<Exclude<CommandName, 'demo'>, CommandModule>> = {
  doctor,
  tools,
  call,
  resources,
  read,
  prompts,
  prompt,
  ping,
  init,
  config,
  login,
  logout,
  completion,
  status,
};
