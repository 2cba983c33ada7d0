package search

import (
	"strings"
	"unicode"
)

// A Run is a stretch of letters and digits between anything else, in lower
// case, with the parts that people see in it: "HTTPServer2" has "http",
// "server" and "2". A run that is one part has none.
type Run struct {
	Word  string
	Parts []string
}

// maxWord bounds the bytes of a word. What is longer is no word that anybody
// looks for.
const maxWord = 64

// Runs splits text the way people read the names of packages:
// Newtonsoft.Json, @scope/pkg-name, camelCase.
func Runs(text string) []Run {
	var runs []Run
	for _, run := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) }) {
		if len(run) <= maxWord {
			runs = append(runs, Run{strings.ToLower(run), parts(run)})
		}
	}
	return runs
}

// parts splits a run where a small letter meets a capital one, where an
// abbreviation ends, and between letters and digits.
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

// Words returns every word of a text: its runs and their parts.
func Words(text string) []string {
	var words []string
	for _, run := range Runs(text) {
		words = append(append(words, run.Word), run.Parts...)
	}
	return words
}
