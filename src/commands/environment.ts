import { isPortable } from '../config/variables.ts';

/**
 * Variables that are set and that the proxy, or the AWS SDK below it, reads. Clients start servers
 * with HOME, PATH and little else, so that a shell has these and a client does not. None is secret;
 * those that name a profile or an endpoint are options.
 */
export const heededVariables = (env: NodeJS.ProcessEnv): [name: string, value: string][] =>
  Object.entries(env).flatMap(([name, value]) => (isPortable(name) && value ? [[name, value]] : []));

/** True where the value is a path, which means something else in another folder. */
export const namesFile = (variable: string): boolean => /_(FILE|BUNDLE|CERTS|DIRECTORY)$/.test(variable);
