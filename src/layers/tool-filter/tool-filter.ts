import type { Layer } from '../../core/pipeline/call.ts';
import { ambiguousMethod } from './errors.ts';
import { ProfileFilter, type ToolFilterDeps } from './profile-filter.ts';
import { resemblesToolMethod } from './rules.ts';

/**
 * Removes tools that the options forbid from every list, and refuses their calls. A tool that
 * cannot be judged is refused.
 */
export function toolFilter(deps: ToolFilterDeps): Layer {
  return (next) => {
    const profiles = new Map<string, ProfileFilter>();
    return function toolFilter(call) {
      const { message, profile } = call;
      // Some servers run a tools/call that is sent as a notification.
      if (message.kind === 'response') return next(call);
      const { method } = message;
      if (method !== 'tools/list' && method !== 'tools/call') {
        if (resemblesToolMethod(method)) throw ambiguousMethod(method);
        return next(call);
      }
      const filter = profiles.get(profile) ?? new ProfileFilter(deps, profile, next);
      profiles.set(profile, filter);
      return method === 'tools/list' ? filter.list(call) : filter.call(call);
    };
  };
}
