"""Where frames come from: video files, picture folders, arrays, streams."""
