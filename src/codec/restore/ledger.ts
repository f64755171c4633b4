/** All corrections of a stream, kind by kind. */
import { ByteSink, ByteSource } from './byte-sink.ts'
import { GapReader, GapWriter } from './gaps.ts'

/**
 * What is counted, predicted and put right: headers of members (the one before), bytes of segments (the model's, or to the
 * member's end), sizes of chunks, tokens, plans of chunks, tails of segments.
 */
export const LANES = ['headers', 'segments', 'chunks', 'tokens', 'plans', 'tails'] as const

export type Lane = (typeof LANES)[number]

/** How the size of a chunk is given: bit 0 of it says. */
export const SIZE_IN_BYTES = 1

export type LedgerWriter = Readonly<Record<Lane, GapWriter>> & {
  /** Sizes of all members but the last. */
  readonly members: ByteSink
}

export type LedgerReader = Readonly<Record<Lane, GapReader>> & { readonly members: ByteSource }

export function openLedger(): LedgerWriter {
  return {
    members: new ByteSink(),
    headers: new GapWriter(),
    segments: new GapWriter(),
    chunks: new GapWriter(),
    tokens: new GapWriter(),
    plans: new GapWriter(),
    tails: new GapWriter(),
  }
}

/** Bytes that it takes so far. */
export function ledgerSize(ledger: LedgerWriter): number {
  return LANES.reduce((sum, lane) => sum + ledger[lane].sink.size, ledger.members.size)
}

export function writeLedger(sink: ByteSink, ledger: LedgerWriter): void {
  sink.sized(ledger.members.written)
  for (const lane of LANES) sink.sized(ledger[lane].sink.written)
}

export function readLedger(source: ByteSource): LedgerReader {
  return {
    members: new ByteSource(source.sized()),
    headers: new GapReader(source.sized()),
    segments: new GapReader(source.sized()),
    chunks: new GapReader(source.sized()),
    tokens: new GapReader(source.sized()),
    plans: new GapReader(source.sized()),
    tails: new GapReader(source.sized()),
  }
}
