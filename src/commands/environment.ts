import { isPortableVariable } from '../config/variables.ts';

/**
 * The set variables that the proxy or the AWS SDK reads, without options and secrets. A shell has
 * them; an MCP client starts servers with little more than HOME and PATH.
 */
export const relevantVariables = (env: NodeJS.ProcessEnv): [name: string, value: string][] =>
  Object.entries(env).flatMap(([name, value]) => (isPortableVariable(name) && value ? [[name, value]] : []));

/** True if the variable's value is a path, which must be made absolute. */
export const isPathVariable = (variable: string): boolean => /_(FILE|BUNDLE|CERTS|DIRECTORY)$/.test(variable);
