import { placeholderIn, placeholderProblem } from '../config/placeholders.ts';
import { regionProblem } from './region-name.ts';

/**
 * The problems with variables: a placeholder that the client did not expand, and an invalid region
 * unless an option names the region.
 */
export function variableProblems(
  env: NodeJS.ProcessEnv,
  isCheckedVariable: (name: string) => boolean,
  regionGiven: boolean,
): string[] {
  const region = env.AWS_REGION ? 'AWS_REGION' : 'AWS_DEFAULT_REGION';
  return Object.entries(env).flatMap(([name, value]) => {
    if (!value || !isCheckedVariable(name)) return [];
    const placeholder = placeholderIn(value);
    if (placeholder !== undefined) return [`${name} ${placeholderProblem(placeholder)}`];
    const problem = name === region && !regionGiven ? regionProblem(value) : undefined;
    return problem === undefined ? [] : [`${name} ${problem}`];
  });
}
