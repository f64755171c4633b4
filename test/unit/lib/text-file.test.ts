import { describe, expect, it } from 'vitest'
import { decodeTextFile } from '../../../src/lib/text-file.ts'

describe('the text of a file', () => {
  it.each([
    ['UTF-8', Buffer.from('alpine:3 ä\n')],
    ['UTF-8 with a mark', Buffer.from('\ufeffalpine:3 ä\n')],
    ['UTF-16LE, as PowerShell writes it', Buffer.from('\ufeffalpine:3 ä\n', 'utf16le')],
    ['UTF-16BE', Buffer.from('\ufeffalpine:3 ä\n', 'utf16le').swap16()],
  ])('is read as %s', (_what, bytes) => {
    expect(decodeTextFile(bytes)).toBe('alpine:3 ä\n')
  })

  it.each([
    ['an archive', Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00])],
    ['UTF-16 without a mark', Buffer.from('alpine:3', 'utf16le')],
    ['half of a UTF-16 letter', Buffer.from([0xff, 0xfe, 0x61])],
  ])('is none when it is %s', (_what, bytes) => {
    expect(() => decodeTextFile(bytes)).toThrow(/it is no UTF-\S+ text; save it as UTF-8/)
  })
})
