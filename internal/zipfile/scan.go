package zipfile

import (
	"bufio"
	"encoding/binary"
	"io"
)

// MaxScanned is the maximum size in bytes of a directory that Scan reads.
const MaxScanned = 256 << 20

// Scan reads the directory of an archive that is stored and served but never unpacked
// here. It calls found with the name of each entry, valid during the call, and returns
// the directory's size in bytes. It keeps nothing in memory, so that an archive can
// have any number of entries, and is less strict than Open: something may precede the
// archive, such as a script that starts it, and names may be arbitrary and repeated.
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

// truncated returns ErrNotZip for a directory that ends too early, and other errors as
// they are.
func truncated(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return ErrNotZip
	}
	return err
}
