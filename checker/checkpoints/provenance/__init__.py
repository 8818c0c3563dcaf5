"""Two folders of weights -> the layout that leads from one to the other."""
