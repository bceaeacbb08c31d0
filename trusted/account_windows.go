package trusted

// Account says nothing on Windows, where Secret knows who runs this program.
func Account(dir string) uint32 { return 0 }
