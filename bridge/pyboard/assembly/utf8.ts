/** Whether bytes are well-formed UTF-8: a server closes a connection on which others arrive. */
export function isUtf8(at: usize, length: i32): bool {
  const end = at + length;
  while (at < end) {
    const lead = <u32>load<u8>(at++);
    if (lead < 0x80) continue;
    const more = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    if (lead < 0xc2 || lead > 0xf4 || at + more > end) return false;
    // After some first bytes the second one's range is narrower: no overlong forms, surrogates, or beyond U+10FFFF.
    const second = <u32>load<u8>(at);
    if (second < (lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80)) return false;
    if (second > (lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf)) return false;
    for (let i = 1; i < more; i++) if ((load<u8>(at + i) & 0xc0) != 0x80) return false;
    at += more;
  }
  return true;
}
