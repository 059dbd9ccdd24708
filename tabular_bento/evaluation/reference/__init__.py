"""What a window is compared with: the profile, the limits and the error model that a model package brings."""
