import { spawn } from 'node:child_process';

/** The program that opens a page, with its arguments before the URL. */
export interface BrowserCommand {
  readonly file: string;
  readonly args: readonly string[];
}

/**
 * Returns the command that opens the user's browser, or undefined without a browser, such as in an
 * SSH session. The variable BROWSER names another command. Pure.
 */
export function browserCommand(
  env: NodeJS.ProcessEnv,
  platform: NodeJS.Platform,
): BrowserCommand | undefined {
  const [named] = env.BROWSER?.split(':') ?? [];
  if (named && platform !== 'win32') return { file: named, args: [] };
  if (platform === 'darwin') return env.SSH_CONNECTION ? undefined : { file: 'open', args: [] };
  // `start` of cmd would interpret the & of the URL.
  if (platform === 'win32') return { file: 'rundll32', args: ['url.dll,FileProtocolHandler'] };
  const hasDisplay = Boolean(env.DISPLAY || env.WAYLAND_DISPLAY);
  return hasDisplay ? { file: 'xdg-open', args: [] } : undefined;
}

/**
 * Opens a page in the browser. Packages for this cannot be bundled, because they run script files.
 * @returns false where no browser was started.
 */
export function openBrowser(url: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  const command = browserCommand(env, process.platform);
  if (!command) return Promise.resolve(false);
  return new Promise((resolve) => {
    const child = spawn(command.file, [...command.args, url], { stdio: 'ignore', detached: true, env });
    child.once('error', () => resolve(false));
    child.once('spawn', () => {
      child.unref();
      resolve(true);
    });
  });
}
