"""What Apple's compiler made of other people's shaders, beside the emulator running the source."""
