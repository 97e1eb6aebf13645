import type { Emit, Layer } from '../core/call.ts';
import { paramsOf } from '../core/message.ts';
import type { Tools } from '../core/tools.ts';

/**
 * Reads what passes anyway: every tools/list answer teaches what a tool says of itself, and word that the list has changed, or a
 * session that begins, ends what was known. No request of its own.
 */
export function toolKnowledge(toolsOf: (profile: string) => Tools): Layer {
  return (next) =>
    async function toolKnowledge(call) {
      const { message, profile } = call;
      if (message.kind !== 'request') return next(call);
      const tools = toolsOf(profile);
      // One of many HTTP clients begins a session of its own: what the others go by must not end with it, or it would never last.
      if (message.method === 'initialize' && !call.passage) tools.forget();
      const emit: Emit = (below, origin) => {
        if (below.kind === 'notification' && below.method === 'notifications/tools/list_changed') {
          toolsOf(origin.profile).forget();
        }
        return call.emit(below, origin);
      };
      const { generation } = tools;
      const reply = await next({ ...call, emit });
      // Word that the list has changed may have overtaken the list: then it is one of yesterday.
      const fresh = generation === tools.generation;
      if (message.method === 'tools/list' && reply.kind === 'answer' && fresh) {
        tools.learn(reply.message.json, paramsOf(message).cursor);
      }
      return reply;
    };
}
