/** Types of the native half of @mongodb-js/zstd, which has none of its own. */
declare module '@mongodb-js/zstd/bindings.js' {
  export function compress(data: Buffer, level?: number): Promise<Buffer>
  export function decompress(data: Buffer): Promise<Buffer>
}
