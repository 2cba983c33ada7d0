// Package blame tells whose fault it is that a stored file cannot be read as what it
// should be: its author's, or that of the storage, which failed meanwhile.
package blame

import "io"

// A ReaderAt remembers whether reading failed, so that a broken disk is not blamed on
// an archive's author.
type ReaderAt struct {
	io.ReaderAt
	err error
}

// ReadAt implements [io.ReaderAt]. Only the plain io.EOF is an end: a connection to
// storage that breaks off is one in a chain.
func (r *ReaderAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(p, off)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// Err returns why the bytes could not be read, if that happened: the file is not to
// blame then.
func (r *ReaderAt) Err() error { return r.err }
