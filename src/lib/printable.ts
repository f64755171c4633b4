/** Text of others on a terminal, which must not obey it. */

/** Without control characters (C0, DEL, C1), line breaks and tabs apart. */
export function withoutControls(text: string): string {
  return text.replace(/(?![\n\t])\p{Cc}/gu, '')
}

/** One line for sure: controls and whatever else breaks lines as `\u001b`. */
export function escapeControls(text: string): string {
  return text.replace(
    /[\p{Cc}\u2028\u2029]/gu,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
