/** The one currency for bytes inside crossdock. Node and Web streams exist only at the edges. */
export type ByteStream = AsyncIterable<Uint8Array>
