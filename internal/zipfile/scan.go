package zipfile

import (
	"bufio"
	"encoding/binary"
	"io"
)

// MaxScanned bounds the directory that Scan walks through, in bytes.
const MaxScanned = 256 << 20

// Scan walks through the directory of an archive that is kept and served but
// never unpacked here, calls found with the name of each entry, and returns the
// directory's size in bytes. It keeps nothing, so that an archive can have any
// number of entries, and is less strict than Open: something may come before the
// archive, such as a script that starts it, and names may be any and be there twice.
func Scan(r io.ReaderAt, size int64, found func(name []byte)) (directory int64, err error) {
	d, err := findDirectory(r, size)
	switch {
	case err != nil:
		return 0, err
	case d.size > MaxScanned:
		return 0, ErrDirectoryTooLarge
	case d.size > uint64(d.end) || d.offset > uint64(d.end)-d.size:
		return 0, ErrNotZip
	}
	return int64(d.size), d.scan(r, found)
}

func (d zipDirectory) scan(r io.ReaderAt, found func(name []byte)) error {
	in := bufio.NewReaderSize(io.NewSectionReader(r, d.end-int64(d.size), int64(d.size)), 1<<16) // a name fits
	for entries := uint64(0); ; entries++ {
		_, err := in.Peek(1)
		if err == io.EOF && uint16(entries) == uint16(d.entries) { // old writers let the number overflow
			return nil
		}
		if err == io.EOF {
			return ErrNotZip
		}
		if err != nil {
			return err
		}
		if err := scanEntry(in, found); err != nil {
			return err
		}
	}
}

func scanEntry(in *bufio.Reader, found func(name []byte)) error {
	var header [entryHeaderLen]byte
	if _, err := io.ReadFull(in, header[:]); err != nil {
		return truncated(err)
	}
	if string(header[:4]) != entrySignature {
		return ErrNotZip
	}
	length := func(at int) int { return int(binary.LittleEndian.Uint16(header[at:])) }
	name, err := in.Peek(length(28))
	if err != nil {
		return truncated(err)
	}
	found(name)
	_, err = in.Discard(len(name) + length(30) + length(32)) // extra field and comment
	return truncated(err)
}

// truncated tells a directory that ends too early from one that cannot be read.
func truncated(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return ErrNotZip
	}
	return err
}
