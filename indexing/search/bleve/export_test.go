package bleve

// Damage closes the library's index under x, so that it fails from then on.
func (x *Index) Damage() { _ = x.text.Close() }
