"""What can be done with masks alone: numpy and OpenCV, no files."""
