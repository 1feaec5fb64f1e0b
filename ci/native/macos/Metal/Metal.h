// The few names of Apple's Metal that torch's headers and ours mention; Linux has no SDK.
#pragma once

#include <Foundation/Foundation.h>

@class MTLCompileOptions;
@protocol MTLLibrary, MTLFunction, MTLComputePipelineState, MTLComputeCommandEncoder, MTLBuffer;

@protocol MTLDevice
- (id<MTLLibrary>)newLibraryWithData:(NSObject*)data error:(NSError**)error;
@end
