import { userFolder } from '../../core/system/home-folder.ts';
import { pathOn } from '../../core/system/platform-path.ts';

const STATE = {
  variable: 'XDG_STATE_HOME',
  darwin: ['Library', 'Application Support'],
  other: ['.local', 'state'],
};

/** The folder of logins, below the user's folder for state: a login is not configuration. */
export const loginFolder = (env: NodeJS.ProcessEnv, platform: NodeJS.Platform = process.platform): string =>
  pathOn(platform).join(userFolder(STATE, env, platform), 'mcp-sigv4-proxy', 'oauth');
