import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { posix, win32 } from 'node:path';

/** The machine whose files a client reads. */
export interface Machine {
  readonly platform: NodeJS.Platform;
  readonly home: string;
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly join: (...parts: string[]) => string;
  readonly exists: (path: string) => boolean;
}

/** This machine. */
export const thisMachine = (env: NodeJS.ProcessEnv): Machine => {
  const { platform } = process;
  const { join } = platform === 'win32' ? win32 : posix;
  return { platform, home: homedir(), cwd: process.cwd(), env, join, exists: existsSync };
};

/** The folder in which applications keep their files. */
export function appData({ platform, home, env, join }: Machine): string {
  if (platform === 'win32') return env.APPDATA || join(home, 'AppData', 'Roaming');
  if (platform === 'darwin') return join(home, 'Library', 'Application Support');
  return env.XDG_CONFIG_HOME || join(home, '.config');
}

/** The user folder of VS Code. */
export const vscodeUser = (machine: Machine): string => machine.join(appData(machine), 'Code', 'User');
