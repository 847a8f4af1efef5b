// Words around a match, the match itself between U+0002 and U+0003.

export interface Span {
  readonly text: string;
  readonly isMatch: boolean;
}

export function spansOf(snippet: string): Span[] {
  return snippet
    .split("\u0002")
    .flatMap((piece, at) => {
      if (at === 0) return [{ text: piece, isMatch: false }];
      const [match = "", ...rest] = piece.split("\u0003");
      return [
        { text: match, isMatch: true },
        { text: rest.join(""), isMatch: false },
      ];
    })
    .filter(({ text }) => text !== "");
}
