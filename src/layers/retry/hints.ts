import { paramsOf, type Request } from '../../core/jsonrpc/message.ts';
import type { Call } from '../../core/pipeline/call.ts';
import type { Clock } from '../../core/time/clock.ts';
import type { ToolAnnotations, ToolCatalog } from '../../core/tools/catalog.ts';
import { hasRecentHints } from '../../core/tools/list-version.ts';
import type { FailureKind } from './decision.ts';

export type KnownTools = Pick<ToolCatalog, 'annotationsOf' | 'listedAt'>;

export interface HintDeps {
  readonly clock: Clock;
  /** Returns the known tools that this call may name; called only when needed. */
  readonly toolsOf: (call: Call) => KnownTools | Promise<KnownTools>;
  /** Reads the server's list again. Absent where no repeat depends on hints. */
  readonly refreshTools?: (call: Call) => Promise<void>;
}

/** The tool's name, where a repeat of its call depends on what the tool promises. */
function toolNameOf(kind: FailureKind, request: Request): string | undefined {
  if (request.method !== 'tools/call' || (kind !== 'unavailable' && kind !== 'interrupted')) return undefined;
  const { name } = paramsOf(request);
  return typeof name === 'string' ? name : undefined;
}

/** Returns the tool's hints that allow a retry. Never throws. */
export async function hintsOf(
  kind: FailureKind,
  request: Request,
  call: Call,
  { toolsOf }: HintDeps,
): Promise<ToolAnnotations | undefined> {
  const name = toolNameOf(kind, request);
  if (name === undefined) return undefined;
  try {
    return (await toolsOf(call)).annotationsOf(name);
  } catch {
    // The caller reads why its call failed, not why its tool is unknown.
    return undefined;
  }
}

/**
 * True where the hints that allow a repeat still hold. Hints of an old list are read again: they
 * must hold before and after the attempt that may have run. Never throws.
 */
export async function hintsHold(
  kind: FailureKind,
  request: Request,
  call: Call,
  { clock, toolsOf, refreshTools }: HintDeps,
): Promise<boolean> {
  const name = toolNameOf(kind, request);
  if (name === undefined) return true;
  try {
    if (hasRecentHints((await toolsOf(call)).listedAt(name), clock.monotonic())) return true;
    if (!refreshTools) return false;
    await refreshTools(call);
    const now = (await toolsOf(call)).annotationsOf(name);
    return now !== undefined && (now.readOnly || now.idempotent);
  } catch {
    return false;
  }
}
