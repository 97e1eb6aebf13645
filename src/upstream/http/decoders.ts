import { promisify } from 'node:util';
import zlib from 'node:zlib';

/** The content codings that requests offer to the server. */
export type Encoding = 'gzip' | 'deflate' | 'br';

/** Decompress a body, whole or as it arrives. */
export const DECODERS = {
  gzip: {
    whole: promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.gunzip),
    stream: () => zlib.createGunzip({ flush: zlib.constants.Z_SYNC_FLUSH }),
  },
  deflate: {
    whole: promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.inflate),
    stream: () => zlib.createInflate({ flush: zlib.constants.Z_SYNC_FLUSH }),
  },
  br: {
    whole: promisify<Buffer, zlib.BrotliOptions, Buffer>(zlib.brotliDecompress),
    stream: () => zlib.createBrotliDecompress({ flush: zlib.constants.BROTLI_OPERATION_FLUSH }),
  },
};
