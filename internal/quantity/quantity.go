// Package quantity formats counts and bytes for people, in the same way on pages, in
// job logs and in status texts.
package quantity

import (
	"strconv"
	"strings"
)

// Count formats n with its digits grouped by thousands: "1,234,567".
func Count[T int | int64](n T) string {
	digits := strconv.FormatInt(int64(n), 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Of formats n and the noun, in the plural unless n is 1: "1 file", "2 files".
func Of[T int | int64](n T, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Count(n) + " " + noun + "s"
}

// Bytes formats a number of bytes in a suitable unit: "1.5 KiB".
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

// short formats a number, with one decimal if it is small.
func short(value float64) string {
	if value >= 99.95 {
		return strconv.FormatFloat(value, 'f', 0, 64)
	}
	return strings.TrimSuffix(strconv.FormatFloat(value, 'f', 1, 64), ".0")
}
