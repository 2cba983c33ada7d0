package zipfile

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
)

// Bounds of a zip's directory: entries and bytes. They permit packages with tens of
// thousands of long paths, and bound what one upload can make archive/zip allocate.
const (
	MaxEntries   = 65535
	MaxDirectory = 16 << 20
)

// Layout of the records at a zip's end, from section 4.3 of PKWARE's APPNOTE.
const (
	entryHeaderLen = 46 // and the name, extra field and comment after it
	endLen         = 22 // and the comment after it
	end64Len       = 56
	locator64Len   = 20

	entrySignature     = "PK\x01\x02"
	endSignature       = "PK\x05\x06"
	end64Signature     = "PK\x06\x06"
	locator64Signature = "PK\x06\x07"
)

// Reasons to refuse a file.
var (
	ErrNotZip            = errors.New("not a well-formed zip")
	ErrTooManyEntries    = errors.New("too many entries")
	ErrDirectoryTooLarge = errors.New("directory too large")
	ErrUnsafeName        = errors.New("unsafe entry name")
	ErrDuplicateName     = errors.New("duplicate entry name")
	ErrEntryTooLong      = errors.New("entry too long")
)

// A zipDirectory says where a zip's central directory lies.
type zipDirectory struct {
	offset, size, entries uint64
	end                   int64 // offset of its end record
}

// check refuses what archive/zip would accept at a cost, since it allocates for as many
// entries as the file claims or has. It is also stricter, so that no two readers find
// different directories in one file: the directory must end where its end record
// begins, and have as many entries as that claims.
func check(r io.ReaderAt, size int64) error {
	d, err := findDirectory(r, size)
	switch {
	case err != nil:
		return err
	case d.entries > MaxEntries:
		return ErrTooManyEntries
	case d.size > MaxDirectory:
		return ErrDirectoryTooLarge
	case d.offset > uint64(d.end) || d.offset+d.size != uint64(d.end):
		return ErrNotZip
	}
	return d.walk(r)
}

// walk counts the entries without keeping any.
func (d zipDirectory) walk(r io.ReaderAt) error {
	in := bufio.NewReader(io.NewSectionReader(r, int64(d.offset), int64(d.size)))
	var header [entryHeaderLen]byte
	for range d.entries {
		if _, err := io.ReadFull(in, header[:]); err != nil {
			return ErrNotZip
		}
		if string(header[:4]) != entrySignature {
			return ErrNotZip
		}
		rest := 0
		for _, at := range []int{28, 30, 32} { // lengths of name, extra field and comment
			rest += int(binary.LittleEndian.Uint16(header[at:]))
		}
		if _, err := in.Discard(rest); err != nil {
			return ErrNotZip
		}
	}
	if _, err := in.ReadByte(); err == nil {
		return ErrNotZip // more than it claims
	}
	return nil
}

// findDirectory looks for the end record as archive/zip does: in the last KiB, then in
// as much as the longest comment can occupy.
func findDirectory(r io.ReaderAt, size int64) (zipDirectory, error) {
	for _, n := range []int64{1 << 10, 65 << 10} {
		buf := make([]byte, min(n, size))
		if _, err := r.ReadAt(buf, size-int64(len(buf))); err != nil && err != io.EOF {
			return zipDirectory{}, err
		}
		if at := findEnd(buf); at >= 0 {
			return readEnd(r, buf[at:], size-int64(len(buf)-at))
		}
	}
	return zipDirectory{}, ErrNotZip
}

func findEnd(buf []byte) int {
	if len(buf) < endLen {
		return -1
	}
	at := bytes.LastIndex(buf[:len(buf)-endLen+4], []byte(endSignature))
	if at < 0 || at+endLen+int(binary.LittleEndian.Uint16(buf[at+20:])) > len(buf) {
		return -1
	}
	return at
}

func readEnd(r io.ReaderAt, buf []byte, at int64) (zipDirectory, error) {
	d := zipDirectory{
		entries: uint64(binary.LittleEndian.Uint16(buf[10:])),
		size:    uint64(binary.LittleEndian.Uint32(buf[12:])),
		offset:  uint64(binary.LittleEndian.Uint32(buf[16:])),
		end:     at,
	}
	locator := make([]byte, locator64Len)
	if at < locator64Len {
		return d, nil
	}
	if _, err := r.ReadAt(locator, at-locator64Len); err != nil {
		return d, err
	}
	if string(locator[:4]) != locator64Signature {
		return d, nil
	}
	return d.readEnd64(r, locator)
}

// readEnd64 reads the end record of a zip that exceeds 32 bits. It must lie just before
// its locator and agree with the smaller record, because readers differ in which of the
// two they trust.
func (d zipDirectory) readEnd64(r io.ReaderAt, locator []byte) (zipDirectory, error) {
	var buf [end64Len]byte
	at := d.end - locator64Len - end64Len
	if at < 0 || binary.LittleEndian.Uint64(locator[8:]) != uint64(at) ||
		binary.LittleEndian.Uint32(locator[4:]) != 0 || binary.LittleEndian.Uint32(locator[16:]) != 1 {
		return zipDirectory{}, ErrNotZip
	}
	if _, err := r.ReadAt(buf[:], at); err != nil {
		return zipDirectory{}, err
	}
	large := zipDirectory{
		entries: binary.LittleEndian.Uint64(buf[32:]),
		size:    binary.LittleEndian.Uint64(buf[40:]),
		offset:  binary.LittleEndian.Uint64(buf[48:]),
		end:     at,
	}
	if string(buf[:4]) != end64Signature || !d.agrees(large) {
		return zipDirectory{}, ErrNotZip
	}
	return large, nil
}

// agrees reports whether each number equals the larger record's or refers to it.
func (d zipDirectory) agrees(large zipDirectory) bool {
	return (d.entries == large.entries || d.entries == math.MaxUint16) &&
		(d.size == large.size || d.size == math.MaxUint32) &&
		(d.offset == large.offset || d.offset == math.MaxUint32)
}
