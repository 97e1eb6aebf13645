import { isUtf8 } from 'node:buffer';
import type { Readable } from 'node:stream';
import { ProxyError } from '../../core/errors/errors.ts';
import { withoutByteOrderMark } from '../../core/jsonrpc/message.ts';
import { type InvalidMessage, parseError } from '../../core/jsonrpc/parse.ts';
import { LineSplitter, MAX_LINE_BYTES } from './lines.ts';

/** Accepts the lines of one client. */
export interface ClientConnection {
  receive(text: string): void;
  refuse(invalid: InvalidMessage, bytes: number): void;
  /** Present while nothing more is to be read from the client: resolves when it has room again. */
  readonly overfull?: Promise<void> | undefined;
}

export interface StdioServer {
  readonly stdin: Readable;
  readonly connection: ClientConnection;
  /** Called when stdin ends or breaks, with the reason. */
  readonly onEnd: (how: string) => void;
}

/** Reads the client's lines as text. */
export function readStdin({ stdin, connection, onEnd }: StdioServer): void {
  const refuse = (error: ProxyError, bytes: number): void =>
    connection.refuse({ kind: 'invalid', id: undefined, error }, bytes);
  let first = true;
  const splitter = new LineSplitter({
    line: (bytes) => {
      if (!isUtf8(bytes)) {
        refuse(parseError('it is not UTF-8'), bytes.length);
        return;
      }
      let text = bytes.toString('utf8');
      // Windows shells put a byte order mark before piped text.
      if (first) text = withoutByteOrderMark(text);
      first = false;
      if (text === '') return;
      if (/^content-length:/i.test(text)) {
        refuse(
          parseError(
            'Content-Length headers belong to the language server protocol; MCP takes one message a line',
          ),
          bytes.length,
        );
        return;
      }
      connection.receive(text);
    },
    tooLong: (bytes) =>
      refuse(
        new ProxyError(
          'invalid-request',
          `Invalid request: a line of ${bytes} bytes, more than the ${MAX_LINE_BYTES} that are read as one message. Send less at once.`,
          { sent: 'no' },
        ),
        bytes,
      ),
  });
  let ended = false;
  const end = (how: string): void => {
    if (ended) return;
    ended = true;
    splitter.end();
    onEnd(how);
  };
  stdin.on('data', (chunk: Buffer) => {
    if (ended) return;
    splitter.push(chunk);
    const room = connection.overfull;
    if (!room) return;
    stdin.pause();
    void room.then(() => stdin.resume());
  });
  stdin.on('end', () => end('stdin ended'));
  stdin.on('close', () => end('stdin was closed'));
  stdin.on('error', (error: Error) => end(`stdin broke: ${error.message}`));
}
