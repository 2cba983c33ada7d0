// Package quantity writes counts and bytes for people, the same way on pages, in
// the logs of jobs and in what they say of themselves.
package quantity

import (
	"strconv"
	"strings"
)

// Count groups digits by thousands: "1,234,567".
func Count[T int | int64](n T) string {
	digits := strconv.FormatInt(int64(n), 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Of counts things, of which noun is one: "1 file", "2 files".
func Of[T int | int64](n T, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Count(n) + " " + noun + "s"
}

// Bytes is a number of bytes in the unit that suits it: "1.5 KiB".
func Bytes(n int64) string {
	if n < 1<<10 {
		return Of(n, "byte")
	}
	value := float64(n)
	for _, unit := range []string{"KiB", "MiB", "GiB"} {
		if value /= 1 << 10; value < 999.5 {
			return short(value) + " " + unit
		}
	}
	return short(value/(1<<10)) + " TiB"
}

// short keeps one decimal of small numbers.
func short(value float64) string {
	if value >= 99.95 {
		return strconv.FormatFloat(value, 'f', 0, 64)
	}
	return strings.TrimSuffix(strconv.FormatFloat(value, 'f', 1, 64), ".0")
}
