package installer

// Install is not on this system yet.
func (p Plan) Install() error { return ErrSystem }

// Uninstall is not on this system yet.
func (p Plan) Uninstall() error { return ErrSystem }
