"""The running application: `slicer.app`, its main window, its modules and files."""
