import { type PlatformPath, posix, win32 } from 'node:path';

/** The rules for paths on a platform: tests ask for those of another one. */
export const pathOn = (platform: NodeJS.Platform): PlatformPath => (platform === 'win32' ? win32 : posix);
