package search

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A Run is a sequence of letters and digits between other characters, in lower case,
// with the parts that people see in it: "HTTPServer2" has "http", "server" and "2". A
// run that is a single part has no Parts.
//
// A sequence in a script without spaces between words has Pairs instead: all pairs of
// neighboring letters. A text that has all pairs of another is likely to contain it.
type Run struct {
	Word  string
	Parts []string
	Pairs []string // for a single letter, that letter
}

// maxWord is the maximum number of bytes of a word. A longer one is found only as the
// whole of a name.
const maxWord = 64

// Fold returns a text in the form in which texts are compared: in lower case, and
// independent of how its letters were typed.
func Fold(text string) string { return strings.ToLower(norm.NFKC.String(text)) }

// Runs splits text the way people read the names of packages:
// Newtonsoft.Json, @scope/pkg-name, camelCase.
func Runs(text string) []Run {
	var runs []Run
	for _, run := range strings.FieldsFunc(norm.NFKC.String(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) }) {
		for run != "" {
			n, spaced := script(run)
			stretch := run[:n]
			run = run[n:]
			if !spaced {
				word := strings.ToLower(stretch)
				runs = append(runs, Run{Word: word, Pairs: pairs(word)})
			} else if n <= maxWord {
				runs = append(runs, Run{Word: strings.ToLower(stretch), Parts: parts(stretch)})
			}
		}
	}
	return runs
}

// script returns how many bytes at the beginning of a run belong to one kind of script,
// and whether that has spaces between words.
func script(run string) (n int, spaced bool) {
	spaced, known := true, false
	for i, r := range run {
		if unicode.IsMark(r) || r == 'ー' { // belongs to what is before it
			continue
		}
		switch is := hasSpaces(r); {
		case !known:
			spaced, known = is, true
		case is != spaced:
			return i, spaced
		}
	}
	return len(run), spaced
}

// hasSpaces reports whether a letter belongs to a script with spaces between words.
// Korean counts as one without: it has spaces, but also endings, which are no part of
// what people search for.
func hasSpaces(r rune) bool {
	const first = 0x0E00 // of the scripts without spaces
	return r < first || !unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Bopomofo, unicode.Hangul,
		unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

// pairs returns the pairs of neighboring letters, each once.
func pairs(stretch string) (pairs []string) {
	letters := []rune(stretch)
	if len(letters) == 1 {
		return []string{stretch}
	}
	seen := make(map[string]bool, len(letters))
	for i := range len(letters) - 1 {
		if pair := string(letters[i : i+2]); !seen[pair] {
			seen[pair] = true
			pairs = append(pairs, pair)
		}
	}
	return pairs
}

// parts splits a run between a lower-case and an upper-case letter, at the end of an
// abbreviation, and between letters and digits.
func parts(run string) (parts []string) {
	letters := []rune(run)
	begin := 0
	for i := 1; i < len(letters); i++ {
		before, at := letters[i-1], letters[i]
		word := unicode.IsLower(before) && unicode.IsUpper(at)
		abbreviation := unicode.IsUpper(before) && unicode.IsUpper(at) && i+1 < len(letters) && unicode.IsLower(letters[i+1])
		number := unicode.IsDigit(before) != unicode.IsDigit(at)
		if word || abbreviation || number {
			parts = append(parts, strings.ToLower(string(letters[begin:i])))
			begin = i
		}
	}
	if begin == 0 {
		return nil
	}
	return append(parts, strings.ToLower(string(letters[begin:])))
}

// Words returns all words of a text: its runs and their parts. For a run in a script
// without spaces, these are its pairs and its last letter, so that each of its letters
// begins a word.
func Words(text string) []string {
	var words []string
	for _, run := range Runs(text) {
		if run.Pairs == nil {
			words = append(append(words, run.Word), run.Parts...)
			continue
		}
		_, last := utf8.DecodeLastRuneInString(run.Word)
		words = append(append(words, run.Pairs...), run.Word[len(run.Word)-last:])
	}
	return words
}
